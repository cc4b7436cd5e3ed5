"""Pictures of what a terminal shows, for the documents: of real runs, on devices that they make themselves."""
