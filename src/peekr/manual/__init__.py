"""What an application writes itself: `@trace`, spans by hand, sessions, experiments, feedback."""
