package dev.cube.hypervisor;

/**
 * Pages of a guest that are written to a file.
 *
 * @param withoutZeros whether long stretches of zeros are left out
 */
record SavedRun(PageRun run, boolean withoutZeros) {}
