package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
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
        return parse(output(new ProcessBuilder(program, "--version")));
    }

    /** @param libraries directory that libraries are looked for in first */
    static QemuVersion of(String program, Path libraries) {
        ProcessBuilder builder = new ProcessBuilder(program, "--version");
        builder.environment().put("LD_LIBRARY_PATH", libraries.toString());
        return parse(output(builder));
    }

    private static String output(ProcessBuilder builder) {
        try {
            Process process = builder.redirectErrorStream(true).start();
            return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new HypervisorException(
                    "cannot run %s; install the package qemu-system-x86: %s".formatted(builder.command().getFirst(), e.getMessage()), e);
        }
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
