package dev.cube.server.tls;

import java.io.IOException;
import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/**
 * Makes certificates by the profile of RFC 5280, with all that strict verifiers (Python 3.13's default) ask for. Keys
 * are on the curve P-256.
 */
final class CertificateIssuer {
    private static final SecureRandom RANDOM = new SecureRandom();
    /** A client's clock may be behind. */
    private static final Duration BACKDATE = Duration.ofDays(1);

    private CertificateIssuer() {}

    /** A self-signed authority that may sign server certificates only, no further authorities. */
    static CertifiedKey authority(Instant now, Duration lifetime) throws GeneralSecurityException {
        KeyPair keys = newKeys();
        X500Name name = new X500Name("O=Cube,CN=Cube local authority %08x".formatted(RANDOM.nextInt()));
        var builder = new JcaX509v3CertificateBuilder(name, serial(), Date.from(now.minus(BACKDATE)),
                Date.from(now.plus(lifetime)), name, keys.getPublic());
        try {
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(0));
            builder.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign));
            builder.addExtension(Extension.subjectKeyIdentifier, false,
                    new JcaX509ExtensionUtils().createSubjectKeyIdentifier(keys.getPublic()));
        } catch (IOException e) {
            throw new GeneralSecurityException(e);
        }
        return new CertifiedKey(sign(builder, keys.getPrivate()), keys.getPrivate());
    }

    /** A certificate for a server with these DNS names and IP addresses. */
    static CertifiedKey server(CertifiedKey authority, List<String> dnsNames, List<String> addresses, Instant now,
            Duration lifetime) throws GeneralSecurityException {
        KeyPair keys = newKeys();
        var builder = new JcaX509v3CertificateBuilder(authority.certificate(), serial(),
                Date.from(now.minus(BACKDATE)), Date.from(now.plus(lifetime)), new X500Name("O=Cube,CN=Cube server"),
                keys.getPublic());
        try {
            var utilities = new JcaX509ExtensionUtils();
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(false));
            builder.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.digitalSignature));
            builder.addExtension(Extension.extendedKeyUsage, false, new ExtendedKeyUsage(KeyPurposeId.id_kp_serverAuth));
            builder.addExtension(Extension.subjectAlternativeName, false, names(dnsNames, addresses));
            builder.addExtension(Extension.subjectKeyIdentifier, false,
                    utilities.createSubjectKeyIdentifier(keys.getPublic()));
            builder.addExtension(Extension.authorityKeyIdentifier, false,
                    utilities.createAuthorityKeyIdentifier(authority.certificate()));
        } catch (IOException e) {
            throw new GeneralSecurityException(e);
        }
        return new CertifiedKey(sign(builder, authority.key()), keys.getPrivate());
    }

    private static GeneralNames names(List<String> dnsNames, List<String> addresses) {
        var names = new ArrayList<GeneralName>();
        dnsNames.forEach(name -> names.add(new GeneralName(GeneralName.dNSName, name)));
        addresses.forEach(address -> names.add(new GeneralName(GeneralName.iPAddress, address)));
        return new GeneralNames(names.toArray(GeneralName[]::new));
    }

    private static KeyPair newKeys() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"));
        return generator.generateKeyPair();
    }

    private static X509Certificate sign(X509v3CertificateBuilder builder, PrivateKey key)
            throws GeneralSecurityException {
        try {
            return new JcaX509CertificateConverter().getCertificate(
                    builder.build(new JcaContentSignerBuilder(CertifiedKey.SIGNATURE).build(key)));
        } catch (OperatorCreationException e) {
            throw new GeneralSecurityException(e);
        }
    }

    // Positive and not zero: the top bit of 127 is set.
    private static BigInteger serial() {
        return new BigInteger(126, RANDOM).setBit(126);
    }
}
