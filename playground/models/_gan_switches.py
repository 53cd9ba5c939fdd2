"""The techniques of GAN training as data: what a model is trained with, and the switches that turn them."""

from dataclasses import asdict, dataclass

from torch import Tensor

from playground.spec import Switch, Words

LOSSES = ("non-saturating", "saturating", "wasserstein", "hinge", "least-squares")
PENALTIES = ("none", "weight clipping", "gradient penalty", "R1")
MINIBATCH = ("none", "discrimination", "stddev")
PLAYERS = ("both", "discriminator", "generator")
_D_LEARNS, _G_LEARNS = ("players", PLAYERS[:2]), ("players", PLAYERS[::2])


@dataclass(frozen=True)
class Techniques:
    """How a GAN is trained.

    Attributes:
        loss: what both play for; see `_gan.discriminator_loss`.
        real_label: what D is to say of real pictures; 0.9 is one-sided smoothing (1606.03498, section 3.4).
        instance_noise: standard deviation of the noise on all that D sees, falling to 0 (1610.04490).
        penalty: what keeps D smooth.
        penalty_weight: lambda of the gradient penalty, or gamma of R1.
        clip: bound of every weight of D under weight clipping (1701.07875, algorithm 1).
        spectral_norm: every layer of D has a spectral norm of 1 (1802.05957).
        minibatch: what D sees of the other pictures of its batch: nothing, minibatch discrimination
            (1606.03498, section 3.2) or the minibatch's standard deviation (1710.10196, section 3).
        d_steps: updates of D for each one of G.
        lr_g: G's learning rate, as a multiple of the recipe's.
        lr_d: D's.
        beta1: Adam's decay rate of the gradient's mean.
        beta2: of its square's.
        players: who is trained.
        rmsprop: RMSprop instead of Adam; no switch.
    """

    loss: str = "non-saturating"
    real_label: float = 1.0
    instance_noise: float = 0.0
    penalty: str = "none"
    penalty_weight: float = 10.0
    clip: float = 0.01
    spectral_norm: bool = False
    minibatch: str = "none"
    d_steps: int = 1
    lr_g: float = 1.0
    lr_d: float = 1.0
    beta1: float = 0.5
    beta2: float = 0.999
    players: str = "both"
    rmsprop: bool = False

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's decay rates, as a recipe has them."""
        return self.beta1, self.beta2

    @property
    def undecided(self) -> float:
        """The output with which D calls a picture neither real nor fake."""
        return 0.5 if self.loss == "least-squares" else 0.0

    def reading(self, which: str, output: Tensor) -> dict[str, float]:
        """What D says on average of the ``real`` or the ``fake`` pictures, from its (B,) outputs on them.

        A probability ``d_...`` if it has them (for least squares the plain output, which has the same goals),
        else a score ``score_...``.
        """
        if self.loss in ("wasserstein", "hinge"):
            return {f"score_{which}": output.mean().item()}
        output = output if self.loss == "least-squares" else output.sigmoid()
        return {f"d_{which}": output.mean().item()}


def switches(techniques: Techniques, **fixed: object) -> tuple[Switch, ...]:
    """The switches of a model, their defaults its own techniques; those named in `fixed` are left out."""
    values = asdict(techniques)
    found = []
    for switch in _SWITCHES:
        if switch.key not in fixed and not (switch.key in ("beta1", "beta2") and techniques.rmsprop):
            kept = {name: getattr(switch, name) for name in switch.__dataclass_fields__}
            found.append(Switch(**kept | {"default": values[switch.key]}))
    return tuple(found)


_SWITCHES = (
    Switch(
        "players",
        Words("Who learns", "谁在学习"),
        "both",
        choices=PLAYERS,
        info=Words(
            "Freeze one player and watch what the other one does alone.", "冻结一方，看另一方单独会怎样。"
        ),
    ),
    Switch(
        "loss",
        Words("Loss", "损失函数"),
        "non-saturating",
        choices=LOSSES,
        info=Words(
            "What the two networks play for. The saturating loss is the textbook's minimax game; its "
            "gradient vanishes when the discriminator is sure.",
            "两个网络博弈的目标。“saturating”是教科书中的极小极大博弈，判别器很有把握时它的梯度会消失。",
        ),
    ),
    Switch(
        "real_label",
        Words("Label of real pictures", "真实图片的标签"),
        1.0,
        0.5,
        1.0,
        0.05,
        info=Words(
            "0.9 is one-sided label smoothing: the discriminator is never quite sure.",
            "0.9 即单侧标签平滑：判别器永远不会完全确信。",
        ),
        needs=(("loss", ("non-saturating", "saturating", "least-squares")), _D_LEARNS),
    ),
    Switch(
        "instance_noise",
        Words("Instance noise", "实例噪声"),
        0.0,
        0.0,
        1.0,
        0.05,
        info=Words(
            "Standard deviation of noise on everything the discriminator sees; it falls to 0 by the end.",
            "加在判别器所见全部图片上的噪声的标准差，训练结束时降到 0。",
        ),
    ),
    Switch(
        "penalty",
        Words("What keeps the discriminator smooth", "约束判别器的方法"),
        "none",
        choices=PENALTIES,
        info=Words(
            "Weight clipping (WGAN), gradient penalty (WGAN-GP) or R1. The Wasserstein loss needs one of the "
            "first two, or spectral normalisation.",
            "权重裁剪（WGAN）、梯度惩罚（WGAN-GP）或 R1。Wasserstein 损失须配合前两者之一或谱归一化。",
        ),
        needs=(_D_LEARNS,),
    ),
    Switch(
        "penalty_weight",
        Words("Weight of the penalty", "惩罚的权重"),
        10.0,
        0.0,
        100.0,
        0.5,
        info=Words("Lambda of the gradient penalty, or R1's gamma.", "梯度惩罚的 λ，或 R1 的 γ。"),
        needs=(_D_LEARNS, ("penalty", ("gradient penalty", "R1"))),
    ),
    Switch(
        "clip",
        Words("Clipping bound", "裁剪范围"),
        0.01,
        0.001,
        1.0,
        0.001,
        info=Words(
            "Under weight clipping every weight of the critic stays between minus and plus this.",
            "使用权重裁剪时，评价网络的每个权重都限制在正负该值之间。",
        ),
        needs=(_D_LEARNS, ("penalty", ("weight clipping",))),
    ),
    Switch(
        "spectral_norm",
        Words("Spectral normalisation", "谱归一化"),
        False,
        info=Words(
            "The weight matrix of every layer of the discriminator has norm 1, so none stretches much.",
            "判别器每一层的权重矩阵范数为 1，因此每一层的放大都有限。",
        ),
        live=False,
    ),
    Switch(
        "minibatch",
        Words("What it sees of the batch", "能看到同批的什么"),
        "none",
        choices=MINIBATCH,
        info=Words(
            "Lets the discriminator notice that pictures of one batch are all alike: against mode collapse.",
            "让判别器发现同一批图片彼此雷同，用来防止模式崩塌。",
        ),
        live=False,
    ),
    Switch(
        "d_steps",
        Words("Discriminator steps per generator step", "生成器每步对应的判别器步数"),
        1,
        1,
        10,
        1,
        needs=(("players", ("both",)),),
    ),
    Switch(
        "lr_g",
        Words("Generator's learning rate, times", "生成器学习率的倍数"),
        1.0,
        0.0,
        10.0,
        0.1,
        info=Words("A multiple of the learning rate.", "学习率的倍数。"),
        needs=(_G_LEARNS,),
    ),
    Switch(
        "lr_d",
        Words("Discriminator's learning rate, times", "判别器学习率的倍数"),
        1.0,
        0.0,
        10.0,
        0.1,
        info=Words(
            "A multiple of the learning rate. Different ones for the two players are called TTUR.",
            "学习率的倍数。双方取不同的值称为 TTUR（双时间尺度更新）。",
        ),
        needs=(_D_LEARNS,),
    ),
    Switch("beta1", Words("Adam's beta 1", "Adam 的 β1"), 0.5, 0.0, 0.99, 0.05),
    Switch("beta2", Words("Adam's beta 2", "Adam 的 β2"), 0.999, 0.5, 0.9999, 0.001),
)
