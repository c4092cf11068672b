//! What other programs are told: the AWS tools and Azure's library reach the place with that, and with nothing else.

use std::process::Command;

use super::container::on_each_server;
use super::place::Place;
use super::servers;
use crate::support::sandbox::REMOTE;

/// The Python that has boto3 and Azure's library.
fn python() -> String {
    std::env::var("MEDIASYNC_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Lists a bucket, or a container, by what the environment says.
const LIST: &str = "import os, sys, boto3\n\
    session = boto3.session.Session(profile_name=os.environ.get('AWS_PROFILE'))\n\
    pages = session.client('s3').get_paginator('list_objects_v2').paginate(Bucket=sys.argv[1], Prefix=sys.argv[2])\n\
    print(*(item['Key'] for page in pages for item in page.get('Contents', [])))\n";
const LIST_AZURE: &str = "import os, sys\n\
    from azure.storage.blob import BlobServiceClient\n\
    service = BlobServiceClient.from_connection_string(os.environ['AZURE_STORAGE_CONNECTION_STRING'])\n\
    print(*(blob.name for blob in service.get_container_client(sys.argv[1]).list_blobs(name_starts_with=sys.argv[2])))\n";

#[test]
fn the_aws_tools_reach_a_bucket_with_what_they_are_told() {
    for live in servers() {
        let mut place = Place::new(&live);
        place.sandbox.write("a.jpg", "a");
        // A wrong profile that would win, were it not taken out.
        place.sandbox.env("AWS_PROFILE", "none");
        place.sandbox.push(&["--acl", "private"]).exits(0);
        let (sandbox, prefix) = (&place.sandbox, place.prefix());
        let (python, wanted) = (python(), format!("{prefix}a.jpg"));
        let list = ["remote", "env", REMOTE, "--", &python, "-c", LIST, &live.bucket, prefix];
        let ran = sandbox.run_plainly(&list).exits(0);
        assert!(ran.stdout.contains(&wanted), "{}: {ran:?}", live.name);
        sandbox.run(&["dsn", "show", REMOTE, "--aws-config", "site"]).exits(0).never_says(&live.secret_key);
        let mut tool = Command::new(&python);
        tool.args(["-c", LIST, &live.bucket, prefix]);
        sandbox.dress(&mut tool);
        let told = tool.env("AWS_PROFILE", "site").output().unwrap();
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(text.contains(&wanted), "{}: {text}{}", live.name, String::from_utf8_lossy(&told.stderr));
    }
}

#[test]
fn azure_s_library_reaches_a_container_with_what_it_is_told() {
    on_each_server(|place| {
        let sandbox = &place.sandbox;
        sandbox.write("a.jpg", "a");
        place.push(&[], 0);
        let (python, container) = (python(), &place.server.container);
        let list = ["remote", "env", REMOTE, "--", &python, "-c", LIST_AZURE, container, &place.prefix];
        let ran = sandbox.run_plainly(&list).exits(0);
        assert!(ran.stdout.contains(&format!("{}/a.jpg", place.prefix)), "{ran:?}");
    });
}
