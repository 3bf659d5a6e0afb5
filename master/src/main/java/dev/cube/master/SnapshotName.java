package dev.cube.master;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A snapshot's name, as E2B writes it: {@code name:tag}, where no tag is the tag {@code default}. */
record SnapshotName(String name, Optional<String> tag) {
    private static final String DEFAULT_TAG = "default";
    private static final Pattern FORM = Pattern.compile("([a-z0-9][a-z0-9._-]{0,127})(?::([a-z0-9][a-z0-9._-]{0,127}))?");

    /** Empty if the text is no name, and so nobody's. */
    static Optional<SnapshotName> find(String text) {
        Matcher matcher = FORM.matcher(text);
        return matcher.matches()
                ? Optional.of(new SnapshotName(matcher.group(1), Optional.ofNullable(matcher.group(2))))
                : Optional.empty();
    }

    static SnapshotName parse(String text) {
        return find(text).orElseThrow(() -> Requests.invalid(("name '%s' must be 1 to 128 of a-z, 0-9, '.', '_' and '-',"
                + " beginning with a letter or digit, and may have a tag of the same kind behind a ':'").formatted(text)));
    }

    /** With its tag. */
    String full() {
        return name + ":" + tag.orElse(DEFAULT_TAG);
    }

    boolean hasDefaultTag() {
        return tag.orElse(DEFAULT_TAG).equals(DEFAULT_TAG);
    }

    /** Whether a full name is one that this means: without a tag, any with that name. */
    boolean matches(String full) {
        return tag.isPresent() ? full.equals(full()) : full.startsWith(name + ":");
    }
}
