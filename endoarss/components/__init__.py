"""What is known of components without running them: where they are written, which settings they take, and in which bounds."""
