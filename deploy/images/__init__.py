"""What the images hold, how a program starts in one, and how its health is asked."""
