"""What happens to a finished span, stage by stage, on its way to where it is kept."""
