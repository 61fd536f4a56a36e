"""The two places where a drill interrupts a run: a shell and the queue."""
