"""Learning-rate factors of transformers' schedules: factors[i] multiplies the peak rate in step i (the first is 0)."""

import torch
import transformers
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_linear_schedule_with_warmup,
    get_wsd_schedule,
)

from fixture import save_json

STEPS = 100
SCHEDULES = {
    "linear": (get_linear_schedule_with_warmup, {"num_warmup_steps": 10, "num_training_steps": STEPS}),
    "linear-no-warmup": (get_linear_schedule_with_warmup, {"num_warmup_steps": 0, "num_training_steps": STEPS}),
    "cosine": (get_cosine_schedule_with_warmup, {"num_warmup_steps": 10, "num_training_steps": STEPS}),
    "cosine-floor": (
        get_cosine_with_min_lr_schedule_with_warmup,
        {"num_warmup_steps": 10, "num_training_steps": STEPS, "min_lr_rate": 0.1},
    ),
    "constant": (get_constant_schedule_with_warmup, {"num_warmup_steps": 10}),
    "wsd-linear": (
        get_wsd_schedule,
        {"num_warmup_steps": 10, "num_decay_steps": 20, "num_training_steps": STEPS, "decay_type": "linear"},
    ),
    "wsd-cosine-floor": (
        get_wsd_schedule,
        {
            "num_warmup_steps": 10,
            "num_decay_steps": 30,
            "num_training_steps": STEPS,
            "decay_type": "cosine",
            "min_lr_ratio": 0.1,
        },
    ),
}


def factors(make, options: dict) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer, **options)
    values = []
    for _ in range(STEPS):
        values.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return values


if __name__ == "__main__":
    schedules = [
        {"name": n, "options": options, "factors": factors(make, options)} for n, (make, options) in SCHEDULES.items()
    ]
    value = {"made": {"by": "make_schedules.py", "transformers": transformers.__version__}, "schedules": schedules}
    save_json("schedules", value)
    print(f"schedules: {len(schedules)} of {STEPS} steps")
