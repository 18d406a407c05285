"""The recipe of the starter model: it draws a small world, and trains a latent-diffusion model on it."""
