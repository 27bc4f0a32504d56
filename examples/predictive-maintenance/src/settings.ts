/** Sizes of the networks, steps of training, and folds. */
export const settings = {
  full: {
    outer: 5,
    inner: 4,
    steps: 150,
    teacher: { width: 24, layers: 2 },
    student: { width: 8, layers: 1 },
  },
  quick: {
    outer: 3,
    inner: 2,
    steps: 25,
    teacher: { width: 16, layers: 1 },
    student: { width: 8, layers: 1 },
  },
};
