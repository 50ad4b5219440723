"""One thin file per subcommand: parse, call the stage, render. No logic, and no heavy import at module level."""
