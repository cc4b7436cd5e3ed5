"""What the tests share: independent judges, images, and the guard against leaks."""
