"""What the cluster does with jobs that run: preemption, requeueing, credentials, what it keeps and shows of them."""
