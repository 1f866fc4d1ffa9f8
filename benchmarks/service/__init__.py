"""What the service must show: throughput, claims, and that nothing is lost whatever is killed."""
