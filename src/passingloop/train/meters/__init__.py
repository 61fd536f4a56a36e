"""What is measured of an attempt: its time, its throughput, the memory it takes, and how far it has come."""
