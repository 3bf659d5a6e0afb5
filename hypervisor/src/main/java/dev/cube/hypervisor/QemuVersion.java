package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Version of a QEMU program.
 *
 * @param text as QEMU says it, with the distribution's package version
 */
record QemuVersion(int major, int minor, String text) {
    private static final Pattern LINE = Pattern.compile("QEMU emulator version ((\\d+)\\.(\\d+)[^\\r\\n]*)");

    static QemuVersion of(String program) {
        String output;
        try {
            Process process = new ProcessBuilder(program, "--version").redirectErrorStream(true).start();
            output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new HypervisorException(
                    "cannot run %s; install the package qemu-system-x86: %s".formatted(program, e.getMessage()), e);
        }
        return parse(output);
    }

    static QemuVersion parse(String output) {
        Matcher matcher = LINE.matcher(output);
        if (!matcher.find()) {
            throw new HypervisorException("this does not look like QEMU: " + output.strip());
        }
        return new QemuVersion(
                Integer.parseInt(matcher.group(2)), Integer.parseInt(matcher.group(3)), matcher.group(1).strip());
    }

    String minorRelease() {
        return major + "." + minor;
    }
}
