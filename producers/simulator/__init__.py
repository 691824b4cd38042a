"""Events for trying: a simulated shop and a real purchase history."""
