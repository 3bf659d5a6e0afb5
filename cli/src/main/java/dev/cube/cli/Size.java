package dev.cube.cli;

import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.TypeConversionException;

/** An amount of memory or disk, whole MiB: {@code 512M}, {@code 2G}, {@code 1GiB}, {@code 1024MB}; a bare number is MiB. */
public record Size(int mebibytes) {
    private static final Pattern FORMAT = Pattern.compile("(\\d{1,9})\\s*([kmgt]?)(?:i?b)?", Pattern.CASE_INSENSITIVE);
    private static final Map<String, Integer> SHIFTS = Map.of("", 20, "k", 10, "m", 20, "g", 30, "t", 40);

    /** @throws TypeConversionException if the text is not a size, or not whole MiB */
    public static Size parse(String text) {
        Matcher matcher = FORMAT.matcher(text.strip());
        if (!matcher.matches()) {
            throw new TypeConversionException("'%s' is not a size: write it like 512M or 2G".formatted(text));
        }
        int shift = SHIFTS.get(matcher.group(2).toLowerCase(Locale.ROOT));
        long count = Long.parseLong(matcher.group(1));
        long mebibytes = shift >= 20 ? count << (shift - 20) : count >> 10;
        if (shift < 20 && (count & 1023) != 0) {
            throw new TypeConversionException("'%s' is not a whole number of MiB".formatted(text));
        }
        if (mebibytes < 1 || mebibytes > Integer.MAX_VALUE) {
            throw new TypeConversionException("'%s' is out of range".formatted(text));
        }
        return new Size((int) mebibytes);
    }

    /** In the largest unit that it is a whole number of. */
    @Override
    public String toString() {
        return mebibytes % 1024 == 0 ? mebibytes / 1024 + " GiB" : mebibytes + " MiB";
    }
}
