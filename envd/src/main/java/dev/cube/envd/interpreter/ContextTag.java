package dev.cube.envd.interpreter;

import java.util.Optional;

/**
 * What a kernel's process is tagged with in the guest, so that it is found again after a restore or a restart of the
 * host. Guests can tag processes as they like, so a tag is only believed as far as its own sandbox goes.
 *
 * @param id       of the context
 * @param standard whether it is the one that serves requests naming only its language, or nothing
 * @param cwd      where the context was started
 */
record ContextTag(String id, Language language, boolean standard, String cwd) {
    /** The number is that of the kernel protocol; kernels of another one are not found. */
    private static final String PREFIX = "cube-interpreter/1";
    private static final int MAX_LENGTH = 8192;

    String encode() {
        return String.join(" ", PREFIX, id, language.id(), standard ? "default" : "extra", cwd);
    }

    static Optional<ContextTag> parse(String tag) {
        if (tag.length() > MAX_LENGTH) {
            return Optional.empty();
        }
        String[] parts = tag.split(" ", 5);
        if (parts.length != 5 || !parts[0].equals(PREFIX) || !parts[1].matches("[0-9a-f-]{1,36}")) {
            return Optional.empty();
        }
        return Language.named(parts[2])
                .map(language -> new ContextTag(parts[1], language, parts[3].equals("default"), parts[4]));
    }
}
