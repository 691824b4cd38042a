"""The counting: a pure state machine per partition, exact under disorder, copies and late events."""
