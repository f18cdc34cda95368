"""What a step computes: whose turn it is, how much of a prompt, in which batches."""
