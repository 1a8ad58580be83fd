# The AWS CLI's environment, for scripts that are run on AWS and on a local AWS. Source it from the project's folder.

# requirements.txt pins version 1 of the AWS CLI, which can't use `aws login`: AWS is reached with the machine's version 2, if any.
if [[ -n ${LOCAL_AWS:-} || $(aws --version 2>&1 || true) != aws-cli/2.* ]]; then
  PATH=$PWD/.venv/bin:$PATH
fi

# The AWS CLI of the Python package reads the older of the two names.
if [[ -n ${AWS_REGION:-} ]]; then export AWS_DEFAULT_REGION=$AWS_REGION; fi
if [[ -n ${LOCAL_AWS:-} ]]; then
  # A local AWS takes any credentials, but the CLI sends no request without.
  if [[ -z ${AWS_ACCESS_KEY_ID:-}${AWS_PROFILE:-} ]]; then
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  fi
  export AWS_DEFAULT_REGION=${AWS_DEFAULT_REGION:-us-east-1}
fi
export AWS_PAGER=""

# An output of a stack: its name, the output's name.
output() {
  aws cloudformation describe-stacks --stack-name "$1" --output text \
    --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue | [0]"
}
