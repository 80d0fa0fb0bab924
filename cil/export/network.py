"""The network that is exported: plain images in, the scores of every head out."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil.methods.heads import CLASSIFIER, NME
from cil.trained.model import TrainedModel

LOGITS, FEATURES = "logits", "features"


class ExportedNetwork(nn.Module):
    """Images float32 [B, 3, S, S] in [0, 1] -> `logits` [B, C], `features` [B, d], and the scores of other heads.

    It holds what is needed to predict and no more: no teacher, no projector.
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self._predict = model.method.predict
        self.deployed = nn.ModuleList(model.method.deployed())
        self.offset: Tensor
        self.factor: Tensor
        self.class_means: Tensor | None
        self.register_buffer("offset", model.offset)
        self.register_buffer("factor", model.factor)
        self.register_buffer("class_means", model.class_means)
        self.eval()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """See the class."""
        prediction = self._predict((images * 255 - self.offset) * self.factor)
        outputs = {LOGITS: prediction.logits, FEATURES: prediction.features}
        outputs |= {head: scores for head, scores in prediction.scores.items() if head != CLASSIFIER}
        if self.class_means is not None:
            outputs[NME] = -_distances(F.normalize(prediction.features, dim=1), self.class_means)
        return outputs


def _distances(features: Tensor, means: Tensor) -> Tensor:
    """[B, C] of features [B, d] and means [C, d], by products: ONNX has no torch.cdist. Exact to about 1e-4."""
    squares = features.square().sum(dim=1, keepdim=True) + means.square().sum(dim=1) - 2 * features @ means.T
    return squares.clamp(min=0).sqrt()


def weights(network: ExportedNetwork) -> dict[str, Tensor]:
    """Every tensor by name, contiguous; what is shared between modules stands once."""
    seen: dict[int, str] = {}
    found = {}
    for name, tensor in network.state_dict().items():
        if tensor.data_ptr() not in seen or not tensor.numel():
            seen[tensor.data_ptr()] = name
            found[name] = tensor.detach().contiguous()
    return found


def example_images(size: int, count: int) -> Tensor:
    """Random images float32 [count, 3, size, size] in [0, 1], always the same."""
    return torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(0))
