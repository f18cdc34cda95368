"""The machine: memory, devices, processors, and what is chosen for them."""
