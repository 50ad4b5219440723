"""What every stage shares: models, loss, sampler, features. Pure torch; opens no media and prints nothing."""
