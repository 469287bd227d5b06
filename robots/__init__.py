"""What we offer: robots, their versions, and what each portal holds of them."""
