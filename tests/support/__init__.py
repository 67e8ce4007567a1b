"""What several suites need: real servers on free ports, and events to send them."""
