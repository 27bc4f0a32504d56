"""Distillation losses and their gradients, from torch in float64 on float32 inputs, written from the papers.

distill.json lists the cases; `student` and `teacher` of the kind's inputs are shared by its cases:
  divergences/{student,teacher} [M, V] logits; NAME/rows [M] before weighting, NAME/loss [] = T² Σ weight · row,
  NAME/gradient [M, V] of the loss by the student's logits
  hidden/{student,teacher} [M, C], NAME/{rows,loss,gradient}
  uld/student [M, V], uld/teacher [M, W], NAME as above
"""

import torch
from torch.nn import functional as F

from fixture import save_json, save_tensors

Tensor = torch.Tensor
generator = torch.Generator().manual_seed(11)
tensors: dict[str, Tensor] = {}
cases: list[dict] = []


def normal(*shape: int, scale: float = 1.0) -> Tensor:
    """Exactly representable in float32, computed with in float64."""
    return (scale * torch.randn(shape, generator=generator)).double()


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p.log() - q.log())).sum(-1)


def divergence(kind: str, share: float, p: Tensor, q: Tensor) -> Tensor:
    """p of the teacher, q of the student, [M, V]."""
    match kind:
        case "forward-kl":
            return kl(p, q)
        case "reverse-kl":
            return kl(q, p)
        case "jensen-shannon":  # arXiv:2306.13649, equation 1
            mixture = share * p + (1 - share) * q
            return share * kl(p, mixture) + (1 - share) * kl(q, mixture)
        case "skew-kl":  # arXiv:2402.03898, definition 1
            return kl(p, share * p + (1 - share) * q)
        case "skew-reverse-kl":
            return kl(q, share * q + (1 - share) * p)
    raise ValueError(kind)


def bucketed(p: Tensor, indices: Tensor) -> Tensor:
    chosen = p.gather(1, indices)
    others = p.scatter(1, indices, 0.0).sum(-1, keepdim=True)
    return torch.cat([chosen, others], -1)


def add(name: str, kind: str, options: dict, student: Tensor, weights: Tensor, rows: Tensor, factor: float = 1) -> None:
    loss = factor * (weights * rows).sum()
    (gradient,) = torch.autograd.grad(loss, [student])
    tensors.update({f"{name}/rows": rows, f"{name}/loss": loss, f"{name}/gradient": gradient})
    cases.append({"name": name, "kind": kind, **options})


def divergences() -> None:
    M, V = 5, 23
    teacher = normal(M, V, scale=3)
    student = normal(M, V, scale=3)
    student[3] = (teacher[3] + normal(V, scale=0.1)).float().double()  # nearly the same
    student[4] = teacher[4]  # the same
    weights = torch.tensor([1, 0.5, 2, 1, 3], dtype=torch.float64)
    tensors.update({"divergences/student": student.clone(), "divergences/teacher": teacher, "divergences/weights": weights})
    student.requires_grad_()
    kinds = [("forward-kl", [0]), ("reverse-kl", [0]), ("jensen-shannon", [0.1, 0.5, 0.9])]
    kinds += [("skew-kl", [0.1, 0.7]), ("skew-reverse-kl", [0.1, 0.7])]
    for kind, shares in kinds:
        for share in shares:
            for temperature in (0.7, 1.0, 2.5):
                for top in (None, 4):
                    p, q = (teacher / temperature).softmax(-1), (student / temperature).softmax(-1)
                    if top:
                        indices = teacher.topk(top, -1).indices
                        p, q = bucketed(p, indices), bucketed(q, indices)
                    name = "-".join([kind, *([str(share)] if share else []), str(temperature), *(["top"] if top else [])])
                    options = {"share": share, "temperature": temperature, "topK": top}
                    add(name, kind, options, student, weights, divergence(kind, share, p, q), temperature**2)


def hidden_states() -> None:
    M, C = 4, 9
    teacher, student = normal(M, C, scale=2), normal(M, C, scale=2)
    student[3] = (teacher[3] + normal(C, scale=0.01)).float().double()
    weights = torch.tensor([1, 0.25, 2, 1], dtype=torch.float64)
    tensors.update({"hidden/student": student.clone(), "hidden/teacher": teacher, "hidden/weights": weights})
    student.requires_grad_()
    add("mse", "mse", {}, student, weights, F.mse_loss(student, teacher, reduction="none").mean(-1))
    add("cosine", "cosine", {}, student, weights, 1 - F.cosine_similarity(student, teacher, dim=-1))


def universal() -> None:
    """arXiv:2402.12030, equation 4: the distance of the sorted probabilities, the shorter padded with zeros."""
    M, V, W = 4, 19, 13
    student, teacher = normal(M, V, scale=2), normal(M, W, scale=2)
    weights = torch.tensor([1, 0.5, 2, 1], dtype=torch.float64)
    tensors.update({"uld/student": student.clone(), "uld/teacher": teacher, "uld/weights": weights})
    student.requires_grad_()
    for temperature in (1.0, 1.5):
        for direction in ("wide-student", "wide-teacher"):
            q = (student / temperature).softmax(-1).sort(-1, descending=True).values
            if direction == "wide-teacher":  # the same numbers, with the student cut to fewer tokens than the teacher
                q = (student[:, :7] / temperature).softmax(-1).sort(-1, descending=True).values
            p = (teacher / temperature).softmax(-1).sort(-1, descending=True).values
            width = max(p.shape[1], q.shape[1])
            p, q = (F.pad(x, (0, width - x.shape[1])) for x in (p, q))
            options = {"temperature": temperature, "width": 7 if direction == "wide-teacher" else V}
            add(f"uld-{direction}-{temperature}", "uld", options, student, weights, (p - q).abs().sum(-1))


divergences()
hidden_states()
universal()
save_tensors("distill", tensors)
save_json("distill", {"made": {"by": "make_distill.py", "torch": torch.__version__}, "cases": cases})
