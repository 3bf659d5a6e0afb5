package dev.cube.hypervisor;

/**
 * How a VM ended.
 *
 * @param expected whether {@link Vm#kill} was called
 * @param reason   what is known, with QEMU's last words
 */
public record VmExit(boolean expected, String reason) {}
