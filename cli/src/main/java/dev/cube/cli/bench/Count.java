package dev.cube.cli.bench;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** How options read a number of things. */
abstract class Count implements ITypeConverter<Integer> {
    private final int least;

    private Count(int least) {
        this.least = least;
    }

    @Override
    public Integer convert(String text) {
        try {
            int number = Integer.parseInt(text);
            if (number >= least) {
                return number;
            }
        } catch (NumberFormatException e) {
            // Refused below, like a number that is too small.
        }
        throw new TypeConversionException("'%s' is not a whole number of at least %d".formatted(text, least));
    }

    static final class FromZero extends Count {
        FromZero() {
            super(0);
        }
    }

    static final class FromOne extends Count {
        FromOne() {
            super(1);
        }
    }
}
