/**
 * Windows as `hargcn.report.payload.pack` stores them.
 *
 * @typedef {{origin: number[], step: number, scales: number[]}} Scales
 * @typedef {{space: number, frames: number, joints: number, persons: number,
 *   maps: {cells: number, rows: number, persons: number}[]}} Shape
 * @typedef {{positions: Float32Array, state: Uint8Array, maps: Int8Array[]}} Decoded
 *   positions (space, joint, person, frame), state (frame, joint, person), maps (cell, row,
 *   person) in steps from -127 to 127
 */

/**
 * Undo base64 and deflate.
 * @param {string} text
 * @returns {Promise<Uint8Array>}
 */
export async function inflate(text) {
  const packed = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Bring a window's numbers back.
 * @param {Uint8Array} bytes
 * @param {Shape} shape
 * @param {Scales} scales
 * @returns {Decoded}
 */
export function unpack(bytes, shape, scales) {
  const { space, frames, joints, persons } = shape;
  const each = joints * persons * frames;
  const count = space * each;
  const positions = new Float32Array(count);
  let whole = 0;
  for (let i = 0; i < count; i++) {
    if (i % frames === 0) whole = 0;
    whole += ((bytes[count + i] << 24) >> 16) | bytes[i];
    positions[i] = scales.origin[Math.floor(i / each)] + whole * scales.step;
  }
  const state = bytes.subarray(2 * count, 2 * count + each);
  let at = 2 * count + each;
  const maps = shape.maps.map((map) => {
    const size = map.cells * map.rows * map.persons;
    const values = new Int8Array(bytes.buffer, bytes.byteOffset + at, size);
    at += size;
    return values;
  });
  return { positions, state, maps };
}
