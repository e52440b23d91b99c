"""Tables: reading, encoding, and a model of one."""
