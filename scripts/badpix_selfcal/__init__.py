"""What the programs of the workflow share; programs import it, and never each other."""
