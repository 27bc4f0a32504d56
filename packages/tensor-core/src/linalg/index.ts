export { type QR, qr } from './qr.js';
export { type SVD, svd } from './svd.js';
export { type SymmetricEigen, symmetricEigen } from './symmetric-eigen.js';
