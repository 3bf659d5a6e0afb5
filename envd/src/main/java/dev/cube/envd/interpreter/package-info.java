/**
 * E2B's code interpreter, served by the host over kernels: processes inside the guest that run cells of code in one
 * language each, keep their state, and speak JSON lines on standard input and output. The protocol is written down in
 * {@code kernel.py}; every kernel speaks the same one.
 */
package dev.cube.envd.interpreter;
