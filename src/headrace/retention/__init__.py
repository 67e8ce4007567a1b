"""What is deleted, and when: passed retention, deleted buckets, ids that nothing can repeat any more."""
