"""Follow jobs: take them in, ask about them in bulk, record what changed."""
