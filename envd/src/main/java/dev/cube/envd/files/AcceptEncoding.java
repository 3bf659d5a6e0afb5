package dev.cube.envd.files;

import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/** Which encoding of a download a client prefers (RFC 9110, 12.5.3), of the two that there are. */
enum AcceptEncoding {
    IDENTITY, GZIP;

    private record Offer(String name, double quality) {
        static Offer parse(String text) {
            String[] parts = text.split(";");
            double quality = 1;
            for (int i = 1; i < parts.length; i++) {
                String parameter = parts[i].strip().toLowerCase(Locale.ROOT);
                if (parameter.startsWith("q=")) {
                    quality = number(parameter.substring(2));
                }
            }
            return new Offer(parts.length == 0 ? "" : parts[0].strip().toLowerCase(Locale.ROOT), quality);
        }

        private static double number(String text) {
            try {
                return Double.parseDouble(text);
            } catch (NumberFormatException e) {
                return 1;
            }
        }
    }

    /** The best encoding; empty if the client takes neither. */
    static Optional<AcceptEncoding> choose(String header) {
        if (header == null || header.isBlank()) {
            return Optional.of(IDENTITY);
        }
        var offers = Stream.of(header.split(",")).map(Offer::parse)
                .sorted(Comparator.comparingDouble(Offer::quality).reversed()).toList();
        boolean refused = !identityAcceptable(header);
        for (Offer offer : offers) {
            if (offer.quality() == 0) {
                continue;
            }
            switch (offer.name()) {
                case "identity" -> {
                    return Optional.of(IDENTITY);
                }
                case "gzip" -> {
                    return Optional.of(GZIP);
                }
                case "*" -> {
                    return Optional.of(refused ? GZIP : IDENTITY);
                }
                default -> { }
            }
        }
        return refused ? Optional.empty() : Optional.of(IDENTITY);
    }

    static boolean identityAcceptable(String header) {
        if (header == null) {
            return true;
        }
        var offers = Stream.of(header.split(",")).map(Offer::parse).toList();
        Optional<Offer> explicit = offers.stream().filter(offer -> offer.name().equals("identity")).findFirst();
        return explicit.or(() -> offers.stream().filter(offer -> offer.name().equals("*")).findFirst())
                .map(offer -> offer.quality() > 0).orElse(true);
    }
}
