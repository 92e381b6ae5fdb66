"""Weight files of PyTorch and PaddlePaddle, read with NumPy alone and without running any code they hold."""
