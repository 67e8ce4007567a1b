"""What `headrace send` is made of: source → chunks → batches → delivery → report, each in constant memory."""
