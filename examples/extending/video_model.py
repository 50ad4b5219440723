"""torchvision's R3D-18 without its last layer: ``dubav probe hmdb51 video:video_model --data hmdb51/``.

``video:video_model:weights.pth`` loads a state dict; without one the weights are random, of seed 0.
"""

import torch
from torchvision.models.video import r3d_18


class R3D(torch.nn.Module):
    video_embedding_size = 512
    frames = 8  # of 3 seconds
    frame_size = 112

    def __init__(self) -> None:
        super().__init__()
        self.backbone = r3d_18()
        self.backbone.fc = torch.nn.Identity()

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 (clips, frames, height, width, 3) -> (clips, 512)"""
        pixels = frames.permute(0, 4, 1, 2, 3).float() / 255
        mean, std = torch.tensor([[0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989]], device=frames.device)
        return self.backbone((pixels - mean[:, None, None, None]) / std[:, None, None, None])


def load_model(path: str = "") -> R3D:
    torch.manual_seed(0)
    model = R3D()
    if path:
        model.load_state_dict(torch.load(path, weights_only=True))
    return model


def get_video_embeddings(frames: torch.Tensor, model: R3D) -> torch.Tensor:
    return model(frames)
