//! The requirements of NIST 800-53 and PCI DSS that AWS relates to its own controls, as AWS writes them (Security Hub User Guide, "Security Hub
//! CSPM controls for Amazon ECR").

const OF_CONTROLS: [(&str, &[&str]); 4] = [
    (
        "AWS Security Hub ECR.1",
        &[
            "NIST.800-53.r5 RA-5",
            "PCI DSS v4.0.1/6.2.3",
            "PCI DSS v4.0.1/6.2.4",
        ],
    ),
    (
        "AWS Security Hub ECR.2",
        &[
            "NIST.800-53.r5 CA-9(1)",
            "NIST.800-53.r5 CM-2",
            "NIST.800-53.r5 CM-8(1)",
        ],
    ),
    (
        "AWS Security Hub ECR.3",
        &[
            "NIST.800-53.r5 CA-9(1)",
            "NIST.800-53.r5 CM-2",
            "NIST.800-53.r5 CM-2(2)",
        ],
    ),
    (
        "AWS Security Hub ECR.5",
        &[
            "NIST.800-53.r5 SC-12(2)",
            "NIST.800-53.r5 CM-3(6)",
            "NIST.800-53.r5 SC-13",
            "NIST.800-53.r5 SC-28",
            "NIST.800-53.r5 SC-28(1)",
            "NIST.800-53.r5 SC-7(10)",
            "NIST.800-53.r5 CA-9(1)",
            "NIST.800-53.r5 SI-7(6)",
            "NIST.800-53.r5 AU-9",
        ],
    ),
];

/// Those of a control, where it has any.
pub(crate) fn requirements(control: &str) -> Option<&'static [&'static str]> {
    let of = OF_CONTROLS.iter().find(|(known, _)| *known == control);
    of.map(|(_, requirements)| *requirements)
}
