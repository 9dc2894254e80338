"""What is done with whole trace files: counted, compared, merged, exported, pruned, rescored."""
