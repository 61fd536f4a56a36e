"""What is known about jobs that wait: the queue, limits with their use, priorities, nodes, reservations, licences."""
