/** Trees and rows that teach, sizes of the student, steps of training, and folds. */
export const settings = {
  full: { outer: 5, inner: 4, trees: 200, copies: 10, steps: 1000, student: { width: 16, layers: 1 } },
  quick: { outer: 3, inner: 2, trees: 20, copies: 2, steps: 60, student: { width: 8, layers: 1 } },
};
